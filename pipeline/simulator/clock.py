"""The company's clock: calendar days to operational days, in which demand is even.

A season is a change of clock. Where s(t) is the demand of an hour around a mean of 1, operational time is the integral
of s, and a process with constant rates in it has the season's peaks in calendar time.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from fedelta.pipeline.simulator.company import Company, Floats

BEFORE = 365  # days of history before the start, for those who signed up earlier
BEYOND = 181  # days after the end that the truth looks ahead

WEEK = np.array([0.90, 0.85, 0.90, 0.95, 1.10, 1.25, 1.05])  # Monday first; mean 1
ZONE_HOURS = 1  # the company's clocks are ahead of UTC by this (its summer time is left out)
HOURS = np.array([1, 0.5, 0.3, 0.2, 0.2, 0.4, 1, 2, 3, 4, 5, 5.5, 5.5, 5, 4.5, 4.5, 5, 5.5, 6, 7, 7.5, 6.5, 4.5, 2.5])
PEAK_OF_YEAR = 335  # 1 December
PEAK_OF_QUARTER = 75  # mid-March and every quarter after it


@dataclass(frozen=True)
class Clock:
    """Knots of the two clocks, hour by hour, both in days since the company's start."""

    calendar: Floats
    operational: Floats

    def operational_at(self, calendar: Floats | float) -> Floats:
        """Operational days of calendar days."""
        return np.asarray(np.interp(calendar, self.calendar, self.operational))

    def calendar_at(self, operational: Floats) -> Floats:
        """Calendar days of operational days."""
        return np.asarray(np.interp(operational, self.operational, self.calendar))


def company_clock(company: Company) -> Clock:
    """The clock of a company: weekly, daily and yearly season, and the drift of demand."""
    climate = company.climate
    days = np.arange(-BEFORE, company.days + BEYOND)
    first = company.start + timedelta(days=-BEFORE)
    weekday = (first.weekday() + np.arange(len(days))) % 7
    day_of_year = (first.timetuple().tm_yday + np.arange(len(days))) % 365.25
    season = 1 + climate.yearly * np.cos(2 * np.pi * (day_of_year - PEAK_OF_YEAR) / 365.25)
    season += climate.quarterly * np.cos(8 * np.pi * (day_of_year - PEAK_OF_QUARTER) / 365.25)
    demand = season * WEEK[weekday] * np.exp(climate.demand_drift * days / 365)
    hourly = np.outer(demand, np.roll(HOURS, -ZONE_HOURS) / HOURS.mean() / 24).ravel()
    calendar = np.append(np.arange(len(hourly)) / 24.0, len(days)) - BEFORE
    operational = np.concatenate([[0.0], np.cumsum(hourly)])
    return Clock(calendar, operational - np.interp(0.0, calendar, operational))
