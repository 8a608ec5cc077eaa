"""The parts of the stage monitor: data alarms, drift by month, tables without time."""
