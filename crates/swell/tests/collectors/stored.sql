-- Rows of raw events, rows of the batches that the ledger has, and how many rows are there twice: first steps count from
-- intended times, of which no two are the same.
SELECT count(*) FROM perf_results;
SELECT sum(rows) FROM ingest_batch;
SELECT count(*) FROM (
  SELECT FROM perf_results WHERE endpoint = 'GET /ping' GROUP BY timestamp, response_time_us HAVING count(*) > 1) AS doubled;
