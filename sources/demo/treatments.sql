-- The log of the campaigns: who was drawn into which arm at random, whether contact was made, and what it cost.
SELECT
    customer_id,
    entered_at AS treated_at,
    campaign,
    action,
    arm,
    CASE WHEN arm = 'treated' THEN reached = 'yes' END AS reached,
    TRY_CAST(cost AS DOUBLE) AS cost
FROM treatments
