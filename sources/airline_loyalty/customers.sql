SELECT
    "Loyalty Number" AS customer_id,
    last_day(make_date(TRY_CAST("Enrollment Year" AS BIGINT), TRY_CAST("Enrollment Month" AS BIGINT), 1))
        + INTERVAL '23:59:56' AS signed_up_at,
    "Province" AS province,
    "Gender" AS gender,
    "Education" AS education,
    "Marital Status" AS marital_status,
    CASE WHEN TRY_CAST("Salary" AS DOUBLE) < 0 THEN NULL ELSE "Salary" END AS salary,
    "Enrollment Type" AS enrolment_type
FROM members
