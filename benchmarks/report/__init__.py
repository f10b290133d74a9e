"""From results to tables, pictures and the project's pages."""
