-- Raw events per second, minute and step, under the names that continuous aggregates have with TimescaleDB. They know
-- only what was recorded: with `events: errors`, failures.

CREATE VIEW perf_results_per_second AS
SELECT swell.bucket('1 second', timestamp) AS bucket, test_run_id,
  count(*) AS requests, count(error) AS failed, sum(CASE WHEN status_code >= 500 THEN 1 ELSE 0 END) AS server_errors,
  sum(response_time_us) AS response_time_sum_us, min(response_time_us) AS response_time_min_us,
  max(response_time_us) AS response_time_max_us, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out
FROM perf_results GROUP BY 1, 2;

CREATE VIEW perf_results_per_minute AS
SELECT swell.bucket('1 minute', timestamp) AS bucket, test_run_id,
  count(*) AS requests, count(error) AS failed, sum(CASE WHEN status_code >= 500 THEN 1 ELSE 0 END) AS server_errors,
  sum(response_time_us) AS response_time_sum_us, min(response_time_us) AS response_time_min_us,
  max(response_time_us) AS response_time_max_us, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out
FROM perf_results GROUP BY 1, 2;

CREATE VIEW perf_results_by_step AS
SELECT swell.bucket('1 minute', timestamp) AS bucket, test_run_id, endpoint,
  count(*) AS requests, count(error) AS failed, sum(CASE WHEN status_code >= 500 THEN 1 ELSE 0 END) AS server_errors,
  sum(response_time_us) AS response_time_sum_us, min(response_time_us) AS response_time_min_us,
  max(response_time_us) AS response_time_max_us, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out
FROM perf_results GROUP BY 1, 2, 3;
