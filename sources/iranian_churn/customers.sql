-- The file has no ids, and 300 of its rows repeat another: an id is a digest of what is known of the customer, and the
-- number of the repetition. So it does not depend on the order of the rows.
WITH named AS (
    SELECT *, md5(concat_ws('|',
        "Call  Failure", "Complains", "Subscription  Length", "Charge  Amount", "Seconds of Use", "Frequency of use",
        "Frequency of SMS", "Distinct Called Numbers", "Age Group", "Tariff Plan", "Status", "Age", "Customer Value"
    ))[:12] AS digest
    FROM customers
)

SELECT
    concat(digest, '-', row_number() OVER (PARTITION BY digest ORDER BY "Churn")) AS customer_id,
    "Churn" AS churned,
    "Call  Failure" AS call_failures,
    "Complains" AS complaints,
    "Subscription  Length" AS subscription_months,
    "Charge  Amount" AS charge_amount,
    "Seconds of Use" AS seconds_of_use,
    "Frequency of use" AS calls,
    "Frequency of SMS" AS messages,
    "Distinct Called Numbers" AS distinct_called_numbers,
    "Age Group" AS age_group,
    "Tariff Plan" AS tariff_plan,
    "Status" AS line_status,
    "Age" AS age,
    "Customer Value" AS customer_value
FROM named
