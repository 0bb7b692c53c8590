"""From runs to tables, intervals and one page."""
