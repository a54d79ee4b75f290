-- All that is said to TimescaleDB, in sections. It cannot be run in the project's own tests, which have plain PostgreSQL
-- only; what it relies on is documented for 2.13 and later (https://www.tigerdata.com/docs/api/latest/). A word in braces
-- is a number or an interval that the program puts in.

-- section: hypertable (both editions; instead of 0003_rows.plain.sql)
CREATE TABLE perf_results (
  timestamp TIMESTAMPTZ NOT NULL,
  test_run_id TEXT,
  worker_id TEXT,
  endpoint TEXT,
  latency_ms INT,
  status_code INT,
  response_time_us BIGINT,
  service_time_us BIGINT,
  send_lag_us BIGINT,
  bytes_in INT,
  bytes_out INT,
  error TEXT,
  connection_wait_us BIGINT,
  stage TEXT);
SELECT create_hypertable('perf_results', by_range('timestamp', INTERVAL '{chunk_interval}'), create_default_indexes => false);
CREATE INDEX perf_results_by_run ON perf_results (test_run_id, timestamp DESC);

-- section: aggregates (community edition; instead of 0004_views.sql). Recent rows are added to what is materialised.
CREATE MATERIALIZED VIEW perf_results_per_second WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket(INTERVAL '1 second', timestamp) AS bucket, test_run_id,
  count(*) AS requests, count(error) AS failed, sum(CASE WHEN status_code >= 500 THEN 1 ELSE 0 END) AS server_errors,
  sum(response_time_us) AS response_time_sum_us, min(response_time_us) AS response_time_min_us,
  max(response_time_us) AS response_time_max_us, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out
FROM perf_results GROUP BY time_bucket(INTERVAL '1 second', timestamp), test_run_id WITH NO DATA;
CREATE MATERIALIZED VIEW perf_results_per_minute WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket(INTERVAL '1 minute', timestamp) AS bucket, test_run_id,
  count(*) AS requests, count(error) AS failed, sum(CASE WHEN status_code >= 500 THEN 1 ELSE 0 END) AS server_errors,
  sum(response_time_us) AS response_time_sum_us, min(response_time_us) AS response_time_min_us,
  max(response_time_us) AS response_time_max_us, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out
FROM perf_results GROUP BY time_bucket(INTERVAL '1 minute', timestamp), test_run_id WITH NO DATA;
CREATE MATERIALIZED VIEW perf_results_by_step WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket(INTERVAL '1 minute', timestamp) AS bucket, test_run_id, endpoint,
  count(*) AS requests, count(error) AS failed, sum(CASE WHEN status_code >= 500 THEN 1 ELSE 0 END) AS server_errors,
  sum(response_time_us) AS response_time_sum_us, min(response_time_us) AS response_time_min_us,
  max(response_time_us) AS response_time_max_us, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out
FROM perf_results GROUP BY time_bucket(INTERVAL '1 minute', timestamp), test_run_id, endpoint WITH NO DATA;
SELECT add_continuous_aggregate_policy('perf_results_per_second',
  start_offset => INTERVAL '1 day', end_offset => INTERVAL '1 minute', schedule_interval => INTERVAL '1 minute');
SELECT add_continuous_aggregate_policy('perf_results_per_minute',
  start_offset => INTERVAL '1 day', end_offset => INTERVAL '2 minutes', schedule_interval => INTERVAL '1 minute');
SELECT add_continuous_aggregate_policy('perf_results_by_step',
  start_offset => INTERVAL '1 day', end_offset => INTERVAL '2 minutes', schedule_interval => INTERVAL '1 minute');

-- section: columnstore (community edition, 2.18 and later)
ALTER TABLE perf_results SET (
  timescaledb.enable_columnstore, timescaledb.segmentby = 'test_run_id, endpoint', timescaledb.orderby = 'timestamp');
CALL add_columnstore_policy('perf_results', after => INTERVAL '{columnstore_after}');

-- section: compression (community edition before 2.18)
ALTER TABLE perf_results SET (
  timescaledb.compress, timescaledb.compress_segmentby = 'test_run_id, endpoint', timescaledb.compress_orderby = 'timestamp');
SELECT add_compression_policy('perf_results', INTERVAL '{columnstore_after}');

-- section: retention (community edition)
SELECT add_retention_policy('perf_results', drop_after => INTERVAL '{retention}');
