\timing on
SELECT swell.percentile(swell.merge(swell.histogram(response_time_bins, response_time_counts)), 0.95) AS p95_ms
FROM run_totals WHERE test_run_id = 'hour' AND kind = 'step';
