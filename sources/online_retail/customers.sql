-- A customer's country is that of the first invoice: later ones are not known yet.
SELECT
    regexp_replace(CustomerID, '\.0$', '') AS customer_id,
    arg_min(Country, (InvoiceDate, InvoiceNo, Country)) AS country
FROM lines
WHERE CustomerID IS NOT NULL
GROUP BY 1
