-- A page is what was asked for. Songs are the activity; the pages Help and Error are bad experiences or lead to them; the
-- pages Upgrade and Downgrade are only looked at, and change a plan when submitted. The account was opened at `registration`.
SELECT
    concat_ws('-', userId, sessionId, itemInSession, ts) AS interaction_id,
    userId AS customer_id,
    to_timestamp(ts / 1000) AS occurred_at,
    CASE page
        WHEN 'NextSong' THEN 'song'
        WHEN 'Help' THEN 'contact'
        WHEN 'Error' THEN 'error'
        WHEN 'Submit Downgrade' THEN 'downgrade'
        WHEN 'Submit Upgrade' THEN 'upgrade'
        WHEN 'Cancellation Confirmation' THEN 'cancellation'
        ELSE 'visit'
    END AS kind,
    'web' AS channel,
    CASE WHEN page <> 'NextSong' THEN lower(page) END AS topic,
    CASE WHEN coalesce(userId, '') = '' THEN 'logged out' END AS out_of_scope
FROM events

UNION ALL BY NAME
SELECT
    concat_ws('-', userId, 'registration') AS interaction_id,
    userId AS customer_id,
    to_timestamp(min(registration) / 1000) AS occurred_at,
    'enrolment' AS kind,
    'web' AS channel
FROM events
WHERE coalesce(userId, '') <> ''
GROUP BY userId
