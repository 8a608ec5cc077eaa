-- One purchase per line. Several lines of one customer and day are separate orders, equal ones too (255 lines), so an
-- order's id counts the equal lines. A value of zero is real. The number of CDs is not used.
WITH fields AS (
    SELECT regexp_split_to_array(trim(line), '\s+') AS f
    FROM master
    WHERE trim(line) <> ''
)
SELECT
    concat_ws('-', f[1], f[2], f[3], f[4], row_number() OVER (PARTITION BY f)) AS interaction_id,
    f[1] AS customer_id,
    try_strptime(f[2], '%Y%m%d') AS occurred_at,
    'purchase' AS kind,
    'web' AS channel,
    f[4] AS amount,
    CASE
        WHEN len(f) <> 4 THEN 'expected customer, date, CDs and value: ' || array_to_string(f, ' ')
        WHEN try_strptime(f[2], '%Y%m%d') IS NULL THEN 'not a date of the form YYYYMMDD: ' || f[2]
    END AS unreadable
FROM fields
