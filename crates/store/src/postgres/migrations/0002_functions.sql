-- Functions over histograms, in a schema of their own. A bin is a duration of about a thousandth: below 1,024 ns each
-- nanosecond has its own, from there every octave is cut into 1,024. They say what the program says, to the last digit.

CREATE SCHEMA IF NOT EXISTS swell;
GRANT USAGE ON SCHEMA swell TO PUBLIC;

DO $$ BEGIN
  CREATE TYPE swell.histogram AS (bins INT[], counts BIGINT[]);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

-- The milliseconds that stand for a bin: its middle.
CREATE OR REPLACE FUNCTION swell.bin_ms(bin INT) RETURNS DOUBLE PRECISION
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN bin < 2048 THEN bin
    ELSE (((bin & 1023) + 1024)::BIGINT << ((bin >> 10) - 1)) + ((1::BIGINT << ((bin >> 10) - 1)) - 1) / 2
    END / 1e6::DOUBLE PRECISION
$$;

-- The milliseconds at which a bin begins, for the axis of a heat map.
CREATE OR REPLACE FUNCTION swell.bin_from_ms(bin INT) RETURNS DOUBLE PRECISION
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN bin < 2048 THEN bin
    ELSE ((bin & 1023) + 1024)::BIGINT << ((bin >> 10) - 1)
    END / 1e6::DOUBLE PRECISION
$$;

-- The number, from 1, of the smallest of `total` values that the share `q` of them does not exceed. Where the product is
-- one rounding step above a whole number, it is that number: 0.07 of 100 is the seventh.
CREATE OR REPLACE FUNCTION swell.rank(q DOUBLE PRECISION, total BIGINT) RETURNS BIGINT
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT least(greatest(1, CASE
    WHEN floor(x) >= 1 AND floor(x) + (x - floor(x)) * 0.3::DOUBLE PRECISION = floor(x) THEN floor(x)
    ELSE ceil(x) END), total)::BIGINT
  FROM (VALUES (q * total::DOUBLE PRECISION)) AS product (x)
$$;

-- The milliseconds that the share `q` (0 to 1) does not exceed; null of nothing. Bins ascend.
CREATE OR REPLACE FUNCTION swell.percentile(bins INT[], counts BIGINT[], q DOUBLE PRECISION) RETURNS DOUBLE PRECISION
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  total BIGINT := 0;
  wanted BIGINT;
  seen BIGINT := 0;
  one BIGINT;
  place INT := 0;
BEGIN
  FOREACH one IN ARRAY counts LOOP
    total := total + one;
  END LOOP;
  IF total = 0 THEN
    RETURN NULL;
  END IF;
  wanted := swell.rank(q, total);
  FOREACH one IN ARRAY counts LOOP
    place := place + 1;
    seen := seen + one;
    IF seen >= wanted THEN
      RETURN swell.bin_ms(bins[place]);
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION swell.percentile(histogram swell.histogram, q DOUBLE PRECISION) RETURNS DOUBLE PRECISION
LANGUAGE SQL IMMUTABLE PARALLEL SAFE AS $$ SELECT swell.percentile((histogram).bins, (histogram).counts, q) $$;

-- Two columns as one value.
CREATE OR REPLACE FUNCTION swell.histogram(bins INT[], counts BIGINT[]) RETURNS swell.histogram
LANGUAGE SQL IMMUTABLE PARALLEL SAFE AS $$ SELECT ROW(bins, counts)::swell.histogram $$;

CREATE OR REPLACE FUNCTION swell.merged(histograms swell.histogram[]) RETURNS swell.histogram
LANGUAGE SQL IMMUTABLE PARALLEL SAFE AS $$
  SELECT ROW(coalesce(array_agg(bin ORDER BY bin), '{}'), coalesce(array_agg(count ORDER BY bin), '{}'))::swell.histogram
  FROM (
    SELECT u.bin, sum(u.count)::BIGINT AS count
    FROM unnest(histograms) AS h, unnest(h.bins, h.counts) AS u (bin, count)
    GROUP BY u.bin) AS merged
$$;

-- Many histograms as one: swell.percentile(swell.merge(swell.histogram(response_time_bins, response_time_counts)), 0.95).
CREATE OR REPLACE AGGREGATE swell.merge(swell.histogram) (
  SFUNC = array_append, STYPE = swell.histogram[], FINALFUNC = swell.merged, PARALLEL = SAFE);

-- The beginning of the span of `width` that a time lies in, as time_bucket of TimescaleDB gives it.
CREATE OR REPLACE FUNCTION swell.bucket(width INTERVAL, at TIMESTAMPTZ) RETURNS TIMESTAMPTZ
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE
    WHEN extract(YEAR FROM width) * 12 + extract(MONTH FROM width) = 0
    THEN date_bin(width, at, TIMESTAMPTZ '2000-01-03 00:00:00+00')
    ELSE make_timestamptz(2000, 1, 1, 0, 0, 0, 'UTC') + make_interval(months => (
      floor(((extract(YEAR FROM at AT TIME ZONE 'UTC') - 2000) * 12 + extract(MONTH FROM at AT TIME ZONE 'UTC') - 1)
        / (extract(YEAR FROM width) * 12 + extract(MONTH FROM width)))
      * (extract(YEAR FROM width) * 12 + extract(MONTH FROM width)))::INT)
    END
$$;
