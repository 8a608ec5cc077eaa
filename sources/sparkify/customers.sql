-- The last level, known from the first event that shows it after the other one.
WITH known AS (
    SELECT
        *,
        to_timestamp(ts / 1000) AS seen_at,
        last_value(level) OVER (PARTITION BY userId ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last_level
    FROM events
    WHERE coalesce(userId, '') <> ''
)

SELECT
    userId AS customer_id,
    to_timestamp(min(registration) / 1000) AS signed_up_at,
    any_value(gender) AS gender,
    any_value(last_level) AS level,
    min(seen_at) FILTER (
        WHERE level = last_level AND ts > coalesce(other_ts, 0)
    ) AS level_since
FROM known
LEFT JOIN (
    SELECT userId, max(ts) AS other_ts FROM known WHERE level <> last_level GROUP BY userId
) USING (userId)
GROUP BY userId
