"""A driver of other make: it knows only the five basic messages, and takes its target from its command line.

It registers, sends a heartbeat each second, runs what `test_config` and `trigger` say, one request after another (avalanche) or one per
delay (tsunami), and reports its four latencies each second. It ends after one run.
"""

import argparse
import http.client
import json
import statistics
import sys
import threading
import time
import urllib.parse
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--prefix", default="swell.")
    parser.add_argument("--node-id", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--seconds", type=float, default=120, help="give up after this long")
    return parser.parse_args()


def consumer_at_end(options, topics):
    consumer = Consumer({"bootstrap.servers": options.kafka, "group.id": "unused", "enable.auto.commit": False})
    partitions = []
    for topic in topics:
        partition = TopicPartition(options.prefix + topic, 0)
        _, end = consumer.get_watermark_offsets(partition, timeout=10)
        partitions.append(TopicPartition(partition.topic, 0, end))
    consumer.assign(partitions)
    return consumer


def main():
    options = arguments()
    producer = Producer({"bootstrap.servers": options.kafka})

    def send(topic, message):
        producer.produce(options.prefix + topic, json.dumps(message).encode(), key=options.node_id)
        producer.poll(0)

    consumer = consumer_at_end(options, ["test_config", "trigger"])
    send("register", {"node_id": options.node_id, "node_IP": "127.0.0.1", "message_type": "DRIVER_NODE_REGISTER"})
    ended = threading.Event()

    def beat():
        while not ended.wait(1.0):
            send("heartbeat", {"node_id": options.node_id, "heartbeat": "YES", "timestamp": int(time.time())})

    threading.Thread(target=beat, daemon=True).start()
    config = None
    give_up = time.monotonic() + options.seconds
    while time.monotonic() < give_up:
        record = consumer.poll(0.2)
        if record is None or record.error():
            continue
        message = json.loads(record.value())
        if "test_type" in message:
            config = message
        elif message.get("trigger") == "YES" and config and message["test_id"] == config["test_id"]:
            latencies = run(options, config, send)
            ended.set()
            producer.flush(10)
            print(json.dumps({"test_id": config["test_id"], "sent": len(latencies)}))
            return 0
    print("no run came", file=sys.stderr)
    return 1


def run(options, config, send):
    url = urllib.parse.urlsplit(options.target)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
    delay = float(config.get("test_message_delay") or 0) / 1000 if config["test_type"] == "TSUNAMI" else 0.0
    latencies = []
    start = time.monotonic()
    reported = start
    for index in range(int(config["message_count_per_driver"])):
        time.sleep(max(0.0, start + index * delay - time.monotonic()))
        sent = time.monotonic()
        connection.request("GET", url.path or "/")
        connection.getresponse().read()
        latencies.append((time.monotonic() - sent) * 1000)
        if time.monotonic() - reported >= 1:
            report(options, config, latencies, send)
            reported = time.monotonic()
    report(options, config, latencies, send)
    return latencies


def report(options, config, latencies, send):
    metrics = {
        "mean_latency": f"{statistics.fmean(latencies):.3f}",
        "median_latency": f"{statistics.median(latencies):.3f}",
        "min_latency": f"{min(latencies):.3f}",
        "max_latency": f"{max(latencies):.3f}",
    }
    message = {"node_id": options.node_id, "test_id": config["test_id"], "report_id": str(uuid.uuid4()), "metrics": metrics}
    send("metrics", message)


if __name__ == "__main__":
    sys.exit(main())
