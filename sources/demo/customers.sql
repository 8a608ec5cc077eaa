-- The register as exported last: the plan is the current one, known from the day it began.
SELECT
    customer AS customer_id,
    registered_at AS signed_up_at,
    newsletter = 'no' AS opted_out,
    country,
    age_group,
    plan,
    plan_since
FROM members
