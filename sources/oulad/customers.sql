SELECT
    concat_ws('-', code_module, code_presentation, id_student) AS customer_id,
    code_module AS module,
    CASE right(code_presentation, 1) WHEN 'B' THEN 'February' ELSE 'October' END AS start,
    gender,
    region,
    highest_education AS education,
    nullif(imd_band, '') AS deprivation,
    age_band AS age,
    disability,
    TRY_CAST(num_of_prev_attempts AS BIGINT) AS earlier_attempts,
    TRY_CAST(studied_credits AS BIGINT) AS studied_credits
FROM students
