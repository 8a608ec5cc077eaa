-- One purchase per line, without an amount. Several lines of one customer and day are separate orders.
SELECT
    concat_ws('-', cust, date, row_number() OVER (PARTITION BY cust, date)) AS interaction_id,
    cust AS customer_id,
    date AS occurred_at,
    'purchase' AS kind,
    'web' AS channel
FROM orders
