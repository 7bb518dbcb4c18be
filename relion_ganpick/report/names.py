"""Names of the files in which a run's picks are shown."""

LOGFILE, REPORT_FILE = "logfile.pdf", "report.html"
