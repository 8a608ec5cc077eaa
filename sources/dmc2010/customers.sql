-- One row per customer: the first order. target90 is 1 for a customer who came back within 90 days, so churn is 0 there.
WITH dated AS (
    SELECT
        *,
        TRY_CAST("date" AS DATE) AS ordered,
        TRY_CAST(datecreated AS DATE) AS opened,
        TRY_CAST(deliverydatepromised AS DATE) AS promised,
        TRY_CAST(deliverydatereal AS DATE) AS delivered -- 0000-00-00 where nobody knows
    FROM orders
)

SELECT
    customernumber AS customer_id,
    target90 = '0' AS churned,
    salutation,
    title,
    "domain",
    newsletter,
    model,
    paymenttype AS payment,
    deliverytype AS delivery,
    TRY_CAST(invoicepostcode AS DOUBLE) AS invoice_region,
    TRY_CAST(delivpostcode AS DOUBLE) AS delivery_region,
    voucher,
    coalesce(nullif(trim(advertisingdatacode), ''), 'none') AS campaign,
    "case" AS value_class,
    numberitems AS items,
    gift,
    "entry",
    shippingcosts AS shipping_costs,
    weight,
    used,
    date_diff('day', opened, ordered) AS account_days,
    date_diff('day', ordered, promised) AS promised_days,
    dayofyear(ordered) AS day_of_year,
    w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10,
    date_diff('day', promised, delivered) AS late_days,
    remi AS returned,
    cancel AS cancelled
FROM dated
