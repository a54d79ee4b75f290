"""An orchestrator of other make: it knows only the five basic messages.

It waits for drivers to register or show a heartbeat, sends them one `test_config` without a plan and a `trigger`, collects the metrics until none
has come for a while, and prints what it saw as JSON.
"""

import argparse
import json
import sys
import time
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--prefix", default="swell.")
    parser.add_argument("--drivers", type=int, default=1)
    parser.add_argument("--test-type", default="AVALANCHE")
    parser.add_argument("--delay", default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--quiet-seconds", type=float, default=6, help="the run is over when no metrics came for this long")
    parser.add_argument("--seconds", type=float, default=120, help="give up after this long")
    options = parser.parse_args()

    producer = Producer({"bootstrap.servers": options.kafka})
    consumer = Consumer({"bootstrap.servers": options.kafka, "group.id": "unused", "enable.auto.commit": False})
    assigned = []
    for topic in ["register", "heartbeat", "metrics"]:
        name = options.prefix + topic
        for partition in consumer.list_topics(name, timeout=10).topics[name].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=10)
            assigned.append(TopicPartition(name, partition, end))
    consumer.assign(assigned)

    def messages(until):
        while time.monotonic() < until:
            record = consumer.poll(0.2)
            if record is not None and not record.error():
                yield json.loads(record.value())

    give_up = time.monotonic() + options.seconds
    drivers = set()
    for message in messages(give_up):
        if message.get("heartbeat") == "YES" or message.get("message_type") == "DRIVER_NODE_REGISTER":
            drivers.add(message["node_id"])
        if len(drivers) >= options.drivers:
            break

    test_id = f"foreign-{uuid.uuid4()}"
    config = {
        "test_id": test_id,
        "test_type": options.test_type,
        "test_message_delay": options.delay,
        "message_count_per_driver": options.count,
    }
    producer.produce(options.prefix + "test_config", json.dumps(config).encode())
    producer.flush(10)
    time.sleep(1)
    producer.produce(options.prefix + "trigger", json.dumps({"test_id": test_id, "trigger": "YES"}).encode())
    producer.flush(10)

    reports = {}
    quiet = time.monotonic() + 20
    while time.monotonic() < min(quiet, give_up):
        for message in messages(time.monotonic() + 0.2):
            if "metrics" in message and message["test_id"] == test_id:
                # Read as a strict reader of the basic form would: four decimal strings.
                latencies = {name: float(message["metrics"][name]) for name in ("mean_latency", "median_latency", "min_latency", "max_latency")}
                assert all(isinstance(value, str) for name, value in message["metrics"].items() if name in latencies), message["metrics"]
                reports.setdefault(message["node_id"], []).append(latencies)
                quiet = time.monotonic() + options.quiet_seconds
    print(json.dumps({"test_id": test_id, "drivers": sorted(drivers), "reports": {name: rows[-1] for name, rows in reports.items()}}))
    return 0 if len(reports) >= options.drivers else 1


if __name__ == "__main__":
    sys.exit(main())
