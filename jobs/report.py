"""Station 6: write the page for the curator."""

from artray.job import main
from artray.report.station import ReportOptions, report

if __name__ == "__main__":
    main(ReportOptions, report)
