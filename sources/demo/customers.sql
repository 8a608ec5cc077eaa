-- The register as exported last: the plan is the current one, known from the day it began.
SELECT
    customer AS customer_id,
    registered_at AS signed_up_at,
    CASE newsletter WHEN 'yes' THEN 'no' WHEN 'no' THEN 'yes' ELSE newsletter END AS opted_out, -- what is neither, is out
    country,
    age_group,
    plan,
    plan_since
FROM members
