-- What is recorded of a month is known only when it is over, so everything stands in the last seconds of its month, in the
-- order enrolment, flights, redemption, cancellation. Repeated rows of a member and month are parts of it and are added.
-- A month with flights is one purchase, without an amount: the files tell no fares. Points redeemed are a redemption worth
-- their cost in dollars. Months without either are out of scope, as is what follows a cancellation.
WITH months AS (
    SELECT
        "Loyalty Number" AS member,
        last_day(make_date(TRY_CAST("Year" AS BIGINT), TRY_CAST("Month" AS BIGINT), 1)) AS month_end,
        sum(TRY_CAST("Total Flights" AS BIGINT)) AS flights,
        sum(TRY_CAST("Points Redeemed" AS BIGINT)) AS redeemed,
        sum(TRY_CAST("Dollar Cost Points Redeemed" AS DECIMAL(18, 4))) AS cost
    FROM activity
    GROUP BY 1, 2
),

spans AS (
    SELECT
        "Loyalty Number" AS member,
        last_day(make_date(TRY_CAST("Enrollment Year" AS BIGINT), TRY_CAST("Enrollment Month" AS BIGINT), 1)) AS enrolled,
        last_day(make_date(TRY_CAST("Cancellation Year" AS BIGINT), TRY_CAST("Cancellation Month" AS BIGINT), 1)) AS cancelled
    FROM members
),

active AS (
    SELECT
        months.*,
        CASE
            WHEN month_end > cancelled THEN 'after the cancellation'
            WHEN flights = 0 AND redeemed = 0 THEN 'a month without activity'
        END AS out_of_scope
    FROM months
    LEFT JOIN spans USING (member)
)

SELECT
    concat_ws('-', member, strftime(month_end, '%Y-%m'), 'flights') AS interaction_id,
    member AS customer_id,
    month_end + INTERVAL '23:59:57' AS occurred_at,
    'purchase' AS kind,
    NULL AS amount,
    out_of_scope
FROM active
WHERE flights > 0 OR redeemed = 0 OR redeemed IS NULL
UNION ALL
SELECT
    concat_ws('-', member, strftime(month_end, '%Y-%m'), 'redemption'),
    member,
    month_end + INTERVAL '23:59:58',
    'redemption',
    cost,
    out_of_scope
FROM active
WHERE redeemed > 0
UNION ALL
SELECT concat_ws('-', member, 'enrolment'), member, enrolled + INTERVAL '23:59:56', 'enrolment', NULL, NULL
FROM spans
UNION ALL
SELECT concat_ws('-', member, 'cancellation'), member, cancelled + INTERVAL '23:59:59', 'cancellation', NULL, NULL
FROM spans
WHERE cancelled IS NOT NULL
