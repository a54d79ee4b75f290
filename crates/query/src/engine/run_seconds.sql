-- All steps of one second together, by stage.
SELECT
  test_run_id,
  min(timestamp) AS timestamp,
  second,
  stage,
  is_warmup,
  sum(requests) AS requests,
  sum(succeeded) AS succeeded,
  sum(failed) AS failed,
  sum(cancelled) AS cancelled,
  sum(sent) AS sent,
  sum(bytes_in) AS bytes_in,
  sum(bytes_out) AS bytes_out,
  get_field(swell.merge(swell.histogram(response_time_bins, response_time_counts)), 'bins') AS response_time_bins,
  get_field(swell.merge(swell.histogram(response_time_bins, response_time_counts)), 'counts') AS response_time_counts,
  sum(response_time_sum_us) AS response_time_sum_us,
  min(response_time_min_us) AS response_time_min_us,
  max(response_time_max_us) AS response_time_max_us,
  get_field(swell.merge(swell.histogram(service_time_bins, service_time_counts)), 'bins') AS service_time_bins,
  get_field(swell.merge(swell.histogram(service_time_bins, service_time_counts)), 'counts') AS service_time_counts,
  sum(service_time_sum_us) AS service_time_sum_us,
  min(service_time_min_us) AS service_time_min_us,
  max(service_time_max_us) AS service_time_max_us,
  stage_number
FROM run_windows
WHERE kind = 'step'
GROUP BY test_run_id, second, stage, is_warmup, stage_number
