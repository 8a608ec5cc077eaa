-- The file has no ids: an id is a digest of what is known of the customer, and the number of the repetition, if any.
WITH named AS (
    SELECT *, md5(concat_ws('|',
        state, account_length, area_code, international_plan, voice_mail_plan, number_vmail_messages, total_day_minutes,
        total_day_calls, total_eve_minutes, total_eve_calls, total_night_minutes, total_night_calls, total_intl_minutes,
        total_intl_calls, number_customer_service_calls
    ))[:12] AS digest
    FROM customers
)

SELECT
    concat(digest, '-', row_number() OVER (PARTITION BY digest ORDER BY churn)) AS customer_id,
    churn = 'yes' AS churned,
    state,
    account_length,
    area_code,
    international_plan,
    voice_mail_plan,
    number_vmail_messages AS voice_mail_messages,
    total_day_minutes AS day_minutes,
    total_day_calls AS day_calls,
    total_day_charge AS day_charge,
    total_eve_minutes AS evening_minutes,
    total_eve_calls AS evening_calls,
    total_eve_charge AS evening_charge,
    total_night_minutes AS night_minutes,
    total_night_calls AS night_calls,
    total_night_charge AS night_charge,
    total_intl_minutes AS international_minutes,
    total_intl_calls AS international_calls,
    total_intl_charge AS international_charge,
    number_customer_service_calls AS service_calls
FROM named
