"""Results: results.json, tables, pictures, report, comparison."""
