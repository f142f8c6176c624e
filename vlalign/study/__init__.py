"""The frame of a study: jobs dealt to processes and threads."""
