-- A customer is an enrolment: module, presentation, student. What happens on a day stands at its end, as only days are recorded:
-- a submission at 20:00, a deadline that passed without one at 22:00, a withdrawal or the end of the presentation at 23:00.
-- A deadline nobody met is no row of any file; here it is an interaction of its own, made from the assessments of who was
-- enrolled on that day. Work carried over from an earlier attempt (banked) was not done here and is out of scope.
WITH presentations AS (
    SELECT
        code_module,
        code_presentation,
        make_date(left(code_presentation, 4)::BIGINT, CASE right(code_presentation, 1) WHEN 'B' THEN 2 ELSE 10 END, 1)::TIMESTAMP
            AS begins,
        TRY_CAST(module_presentation_length AS BIGINT) AS days
    FROM courses
),

enrolments AS (
    SELECT
        concat_ws('-', code_module, code_presentation, id_student) AS customer_id,
        code_module,
        code_presentation,
        id_student,
        begins,
        days,
        TRY_CAST(date_registration AS BIGINT) AS registered,
        TRY_CAST(date_unregistration AS BIGINT) AS withdrawn
    FROM registrations
    JOIN presentations USING (code_module, code_presentation)
),

deadlines AS (
    SELECT code_module, code_presentation, id_assessment, assessment_type, TRY_CAST(date AS BIGINT) AS due
    FROM assessments
    WHERE assessment_type <> 'Exam'
),

work AS (
    SELECT
        id_assessment,
        id_student,
        TRY_CAST(date_submitted AS BIGINT) AS submitted,
        lower(is_banked) = 'true' AS banked,
        TRY_CAST(score AS DOUBLE) AS score
    FROM submissions
)

SELECT
    concat_ws('-', customer_id, 'enrolment') AS interaction_id,
    customer_id,
    begins + to_days(coalesce(registered, 0)::INTEGER) + INTERVAL '1 hour' AS occurred_at,
    'enrolment' AS kind,
    NULL AS rating,
    NULL AS delay_hours,
    NULL AS topic,
    NULL AS out_of_scope
FROM enrolments
UNION ALL
SELECT
    concat_ws('-', customer_id, id_assessment, 'submission'),
    customer_id,
    begins + to_days(submitted::INTEGER) + INTERVAL '20 hours',
    'submission',
    score / 100,
    24.0 * (submitted - due),
    assessment_type,
    CASE WHEN banked THEN 'work of an earlier attempt' WHEN submitted > withdrawn THEN 'after the withdrawal' END
FROM work
JOIN deadlines USING (id_assessment)
JOIN enrolments USING (code_module, code_presentation, id_student)
UNION ALL
SELECT
    concat_ws('-', customer_id, deadlines.id_assessment, 'missed'),
    customer_id,
    begins + to_days(due::INTEGER) + INTERVAL '22 hours',
    'missed_deadline',
    NULL,
    NULL,
    assessment_type,
    NULL
FROM enrolments
JOIN deadlines USING (code_module, code_presentation)
LEFT JOIN work ON work.id_assessment = deadlines.id_assessment AND work.id_student = enrolments.id_student
WHERE due < days AND coalesce(registered, 0) <= due AND (withdrawn IS NULL OR withdrawn > due)
    AND (submitted IS NULL OR (submitted > due AND NOT banked))
UNION ALL
SELECT
    concat_ws('-', customer_id, 'withdrawal'),
    customer_id,
    begins + to_days(withdrawn::INTEGER) + INTERVAL '23 hours',
    'cancellation',
    NULL,
    NULL,
    NULL,
    CASE WHEN withdrawn >= days THEN 'after the end of the presentation' END
FROM enrolments
WHERE withdrawn IS NOT NULL
UNION ALL
SELECT
    concat_ws('-', customer_id, 'completion'),
    customer_id,
    begins + to_days(days::INTEGER) + INTERVAL '23 hours',
    'completion',
    NULL,
    NULL,
    NULL,
    CASE WHEN withdrawn < days THEN 'withdrawn before' END
FROM enrolments
