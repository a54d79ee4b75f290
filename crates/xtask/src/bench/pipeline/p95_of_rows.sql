\timing on
SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) FROM perf_results WHERE test_run_id='benchmark_42';
