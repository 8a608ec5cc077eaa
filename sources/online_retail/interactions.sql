-- One interaction per invoice: the sum of its lines. An invoice whose number begins with C gives money back; the data set
-- calls it a cancellation, but it is no end of a relation, so it is a return. Lines of price zero (gifts, samples) add
-- nothing. Lines without a customer are counter sales and stock corrections: out of scope, like positive invoices that
-- hold nothing but negative quantities. Equal lines of one invoice are the same article sold twice and are kept.
WITH read AS (
    SELECT
        InvoiceNo AS invoice,
        regexp_replace(CustomerID, '\.0$', '') AS customer,
        TRY_CAST(InvoiceDate AS TIMESTAMP) AS occurred,
        TRY_CAST(Quantity AS BIGINT) AS quantity,
        TRY_CAST(Quantity AS BIGINT) * TRY_CAST(UnitPrice AS DECIMAL(18, 4)) AS value
    FROM lines
)
SELECT
    invoice AS interaction_id,
    customer AS customer_id,
    min(occurred) AS occurred_at,
    CASE WHEN invoice LIKE 'C%' THEN 'return' ELSE 'purchase' END AS kind,
    'web' AS channel,
    CASE WHEN invoice LIKE 'C%' THEN -sum(value) ELSE sum(value) END AS amount,
    CASE WHEN invoice LIKE 'C%' THEN 'cancelled order' END AS topic,
    CASE
        WHEN customer IS NULL THEN 'no customer on the invoice'
        WHEN invoice NOT LIKE 'C%' AND max(quantity) < 0 THEN 'stock correction'
    END AS out_of_scope,
    CASE
        WHEN bool_or(occurred IS NULL) THEN 'a line without a readable InvoiceDate'
        WHEN bool_or(value IS NULL) THEN 'a line without a readable Quantity or UnitPrice'
    END AS unreadable
FROM read
GROUP BY invoice, customer
