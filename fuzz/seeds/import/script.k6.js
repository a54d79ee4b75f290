import http from 'k6/http';

// Load of the shop's front page.
export const options = {
  scenarios: {
    browse: { executor: 'ramping-arrival-rate', startRate: 50, timeUnit: '1s', preAllocatedVUs: 50, maxVUs: 100,
      stages: [
        { target: 200, duration: '30s' }, // up
        { target: 200, duration: '1m30s' },
        { target: 0, duration: '0s' },
        { target: 500, duration: 10000 },
      ],
      gracefulStop: '10s', exec: 'browse',
    },
    buy: { executor: 'per-vu-iterations', vus: 10, iterations: 20, maxDuration: '5m' },
  },
  thresholds: {
    http_req_failed: ['rate<0.01'],
    http_req_duration: ['p(95)<500', 'p(99.9) <= 1500', { threshold: 'avg<200', abortOnFail: true, delayAbortEval: '10s' }],
    'http_req_duration{scenario:browse}': ['med<100'],
    'http_req_duration{status:200}': ['max<2000'],
    http_req_waiting: ['p(90)<300'],
    http_reqs: ['count>1000', 'rate>=100'],
    checks: ['rate>0.99'],
    iteration_duration: ['p(95)<4000'],
    vus: ['value>1'],
    my_trend: ['avg<1'],
  },
  userAgent: 'k6 {shop}/1.0',
  noConnectionReuse: true,
  rps: 300,
};

export default function () { http.get('https://shop.example/'); }
