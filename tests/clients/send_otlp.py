"""Sends log records and events with the PyPI SDK of OpenTelemetry and its OTLP/HTTP exporter.

python send_otlp.py URL COMPRESSION SERVICE [KEY [ENVIRONMENT]]
"""

from __future__ import annotations

import logging
import sys

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

TIME_NS = 1_767_323_045_678_901_234


def main(url: str, compression: str, service: str, key: str = "", environment: str = "") -> None:
    logging.basicConfig(level=logging.INFO)
    attributes = {"service.name": service}
    if environment:
        attributes["deployment.environment.name"] = environment
    provider = LoggerProvider(resource=Resource(attributes), shutdown_on_exit=False)
    headers = {"x-api-key": key} if key else None
    exporter = OTLPLogExporter(url, headers=headers, compression=Compression(compression))
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("shop", "1.0")
    for number in range(3):
        logger.emit(
            LogRecord(
                timestamp=TIME_NS + number,
                event_name="cart.paid",
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                body={"items": [1, 2.5, "three", None], "ok": True},
                attributes={"amount": 2**number, "user.id": "u"},
            )
        )
    logger.emit(LogRecord(timestamp=TIME_NS, body="a line", severity_number=SeverityNumber.ERROR))
    print(provider.force_flush())
    provider.shutdown()


main(*sys.argv[1:])
