# Copied from a browser's network panel, several at once.
curl 'https://shop.example/api/cart?item=7&note=it%27s' \
  -H 'accept: application/json' \
  -H 'accept-language: en-GB,en;q=0.9' \
  -H 'authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc' \
  -H 'content-type: application/json' \
  -b 'sid=abc123; theme=dark' \
  -H 'origin: https://shop.example' \
  -H 'sec-ch-ua: "Chromium";v="138"' \
  -H 'sec-fetch-mode: cors' \
  --data-raw $'{"text":"it\'s \u00fcber","list":[1,"{{x}}"]}' \
  --compressed ;
curl 'https://shop.example/api/orders/1234' -X DELETE -L -k --max-time 2.5 \
  --resolve shop.example:443:127.0.0.1 -u 'ada:pa ss' --http2 -sS -o /dev/null
curl -G https://shop.example/search -d q=shoes --data-urlencode 'brand=A & B' -A probe/1 -e https://shop.example/ ;
curl https://shop.example/upload -F title=Beach -F 'photo=@beach.jpg;type=image/jpeg' -x proxy.example:3128 --next https://shop.example/login -d user=ada -d password=secret1 --retry 3
curl https://other.example/ping > /dev/null 2>&1
curl https://shop.example/pay --json '{"pin": 90817263, "amount": 5}' --retry-delay=2 --tokens=tok_55667788
wget https://shop.example/
