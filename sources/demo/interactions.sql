-- One row per thing a customer went through. A row happens when its outcome is known: a ticket when it closes, a parcel
-- when it arrives. Times and amounts go through as they came, and ingest reads them; where a value is computed here, one
-- that is there but cannot be read is named in `unreadable`.

SELECT
    'order-' || order_id AS interaction_id,
    customer AS customer_id,
    placed_at AS occurred_at,
    'purchase' AS kind,
    CASE
        WHEN shop LIKE 'Store %' THEN 'store'
        WHEN shop = 'Web shop' THEN 'web'
        WHEN shop = 'App' THEN 'app'
        WHEN shop = 'Phone order' THEN 'phone'
        WHEN shop = 'Marketplace' THEN 'partner'
        ELSE shop
    END AS channel,
    gross AS amount,
    TRY_CAST(gross AS DECIMAL(18, 4)) - TRY_CAST(cost AS DECIMAL(18, 4)) AS margin,
    category AS topic,
    CASE WHEN customer LIKE 'test-%' THEN 'test account' END AS out_of_scope,
    CASE
        WHEN cost IS NOT NULL AND TRY_CAST(cost AS DECIMAL(18, 4)) IS NULL
            THEN 'cost is ' || cost || '; it must be an amount'
    END AS unreadable,
    to_json(orders) AS source_row
FROM orders

UNION ALL BY NAME
-- Sessions by the source that brought them; a basket is a session of the site that ended in an order.
SELECT
    'web-' || event_id AS interaction_id,
    customer AS customer_id,
    "at"::VARCHAR AS occurred_at,
    CASE event WHEN 'session' THEN 'visit' ELSE event END AS kind,
    CASE source
        WHEN '(direct)' THEN 'direct'
        WHEN 'google / organic' THEN 'organic_search'
        WHEN 'google / cpc' THEN 'paid_search'
        WHEN 'instagram / social' THEN 'social'
        WHEN 'newsletter / email' THEN 'email'
        WHEN 'banner / display' THEN 'display'
        WHEN 'blog / referral' THEN 'referral'
        WHEN 'basket' THEN 'web'
        ELSE source
    END AS channel,
    CASE WHEN customer LIKE 'test-%' THEN 'test account' END AS out_of_scope,
    to_json(web_events) AS source_row
FROM web_events

UNION ALL BY NAME
SELECT
    'ticket-' || ticket_id AS interaction_id,
    customer AS customer_id,
    closed_at AS occurred_at,
    CASE type WHEN 'question' THEN 'contact' ELSE type END AS kind,
    CASE desk WHEN 'Hotline' THEN 'phone' WHEN 'Live chat' THEN 'chat' WHEN 'E-mail' THEN 'email' ELSE desk END AS channel,
    (TRY_CAST(satisfaction AS DOUBLE) - 1) / 4 AS rating,
    solved AS resolved,
    first_answer_hours AS wait_hours,
    (TRY_CAST(effort_1_to_7 AS DOUBLE) - 1) / 6 AS effort,
    subject AS topic,
    CASE
        WHEN satisfaction IS NOT NULL AND TRY_CAST(satisfaction AS DOUBLE) IS NULL
            THEN 'satisfaction is ' || satisfaction || '; it must be a number from 1 to 5'
        WHEN effort_1_to_7 IS NOT NULL AND TRY_CAST(effort_1_to_7 AS DOUBLE) IS NULL
            THEN 'effort_1_to_7 is ' || effort_1_to_7 || '; it must be a number from 1 to 7'
    END AS unreadable,
    to_json(support_tickets) AS source_row
FROM support_tickets

UNION ALL BY NAME
SELECT
    'parcel-' || parcel_id AS interaction_id,
    customer AS customer_id,
    delivered_at AS occurred_at,
    'delivery' AS kind,
    epoch(TRY_CAST(delivered_at AS TIMESTAMPTZ) - TRY_CAST(promised_at AS TIMESTAMPTZ)) / 3600 AS delay_hours,
    content AS topic,
    CASE
        WHEN promised_at IS NOT NULL AND TRY_CAST(promised_at AS TIMESTAMPTZ) IS NULL
            THEN 'promised_at is ' || promised_at || '; it must be a time'
    END AS unreadable,
    to_json(deliveries) AS source_row
FROM deliveries

UNION ALL BY NAME
-- The reason is the topic: a faulty article is the company's fault, a wrong size is not.
SELECT
    'return-' || return_id AS interaction_id,
    customer AS customer_id,
    returned_at AS occurred_at,
    'return' AS kind,
    refund AS amount,
    reason AS topic,
    to_json(returns) AS source_row
FROM returns

UNION ALL BY NAME
SELECT
    'review-' || review AS interaction_id,
    customer AS customer_id,
    to_timestamp(posted)::VARCHAR AS occurred_at,
    'review' AS kind,
    'social' AS channel,
    (stars - 1) / 4 AS rating,
    views AS reach,
    product AS topic,
    to_json(reviews) AS source_row
FROM reviews

UNION ALL BY NAME
SELECT
    'survey-' || survey_id AS interaction_id,
    customer AS customer_id,
    answered_at AS occurred_at,
    'survey' AS kind,
    'email' AS channel,
    TRY_CAST(nps AS DOUBLE) / 10 AS rating,
    about AS topic,
    CASE
        WHEN nps IS NOT NULL AND TRY_CAST(nps AS DOUBLE) IS NULL THEN 'nps is ' || nps || '; it must be a number from 0 to 10'
    END AS unreadable,
    to_json(surveys) AS source_row
FROM surveys

UNION ALL BY NAME
SELECT
    'message-' || message_id AS interaction_id,
    customer AS customer_id,
    sent_at AS occurred_at,
    'message' AS kind,
    CASE medium WHEN 'newsletter' THEN 'email' WHEN 'app push' THEN 'app' WHEN 'sms' THEN 'phone' ELSE medium END AS channel,
    campaign AS topic,
    to_json(campaigns) AS source_row
FROM campaigns

UNION ALL BY NAME
-- A reaction is an interaction of its own, at its own time.
SELECT
    'response-' || message_id AS interaction_id,
    customer AS customer_id,
    reacted_at AS occurred_at,
    'response' AS kind,
    CASE medium WHEN 'newsletter' THEN 'email' WHEN 'app push' THEN 'app' WHEN 'sms' THEN 'phone' ELSE medium END AS channel,
    reaction AS topic,
    to_json(campaigns) AS source_row
FROM campaigns
WHERE reaction IS NOT NULL

UNION ALL BY NAME
SELECT
    'programme-' || entry AS interaction_id,
    customer AS customer_id,
    "at" AS occurred_at,
    CASE event
        WHEN 'joined' THEN 'enrolment'
        WHEN 'renewed' THEN 'renewal'
        WHEN 'stepped down' THEN 'downgrade'
        WHEN 'referred a friend' THEN 'referral'
        WHEN 'closed the account' THEN 'cancellation'
        ELSE event
    END AS kind,
    to_json(programme) AS source_row
FROM programme
