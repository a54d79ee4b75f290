//! The cart of a session, and what becomes of it.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Shop;
use super::catalogue::{self, Catalogue};
use super::message::{Answer, Problem, Reply, Request};

/// Different products in a cart.
const MAX_LINES: usize = 50;

/// Of each product.
const MAX_QUANTITY: u64 = 1000;

/// How often an order says that it is pending before it is confirmed.
const PENDING_POLLS: u32 = 2;

/// Products and how many of each, in the order they were put in.
#[derive(Debug, Default)]
pub(crate) struct Cart {
    lines: Vec<(u32, u64)>,
}

impl Cart {
    /// Pieces in it.
    pub(crate) fn count(&self) -> u64 {
        self.lines.iter().map(|(_, quantity)| quantity).sum()
    }

    fn total(&self, catalogue: &Catalogue) -> u64 {
        let price = |id: u32| catalogue.get(id).map_or(0, |product| product.price);
        self.lines.iter().map(|(id, quantity)| price(*id) * quantity).sum()
    }

    fn add(&mut self, id: u32, quantity: u64) -> Result<(), Problem> {
        let line = self.lines.iter().position(|(product, _)| *product == id);
        let already = line.map_or(0, |line| self.lines[line].1);
        let sum = already.saturating_add(quantity);
        if quantity == 0 || sum > MAX_QUANTITY {
            return Err(Problem::new(400, format!("quantity is 1 to {MAX_QUANTITY} of each product")));
        }
        match line {
            Some(line) => self.lines[line].1 = sum,
            None if self.lines.len() == MAX_LINES => {
                return Err(Problem::new(409, format!("the cart is full: {MAX_LINES} products")));
            }
            None => self.lines.push((id, sum)),
        }
        Ok(())
    }

    fn shown(&self, catalogue: &Catalogue) -> Value {
        let items = self.lines.iter().filter_map(|(id, quantity)| {
            let product = catalogue.get(*id)?;
            let (name, price) = (&product.name, product.price);
            Some(json!({"product": id, "name": name, "price": price, "quantity": quantity}))
        });
        json!({"items": items.collect::<Vec<_>>(), "count": self.count(), "total": self.total(catalogue)})
    }
}

/// `GET /api/cart`
pub(crate) fn show(shop: &Shop, request: &Request<'_>) -> Answer {
    let cart = shop.sessions.signed_in(request, |_, cart| cart.shown(&shop.catalogue))?;
    Ok(Reply::json(200, &cart))
}

/// What comes into the cart, and how often.
#[derive(Debug, Deserialize)]
struct Addition {
    product: u32,
    #[serde(default = "one")]
    quantity: u64,
}

fn one() -> u64 {
    1
}

impl Addition {
    /// Whoever says nothing wants the first product, so that a plan can fill a cart in one line.
    const DEFAULT: Self = Self { product: 1, quantity: 1 };
}

/// `POST /api/cart`
pub(crate) fn add(shop: &Shop, request: &Request<'_>) -> Answer {
    // Read before the session is locked, and refused only to who is signed in.
    let addition = if request.body.is_empty() { Ok(Addition::DEFAULT) } else { request.json() };
    let cart = shop.sessions.signed_in(request, |_, cart| {
        let Addition { product, quantity } = addition?;
        shop.catalogue.get(product).ok_or_else(catalogue::unknown)?;
        cart.add(product, quantity)?;
        Ok(cart.shown(&shop.catalogue))
    })??;
    Ok(Reply::json(200, &cart))
}

/// `DELETE /api/cart/{product}`
pub(crate) fn remove(shop: &Shop, request: &Request<'_>, product: &str) -> Answer {
    let cart = shop.sessions.signed_in(request, |_, cart| {
        let at = cart.lines.iter().position(|(id, _)| Ok(*id) == product.parse());
        let at = at.ok_or_else(|| Problem::new(404, "this product is not in the cart"))?;
        cart.lines.remove(at);
        Ok(cart.shown(&shop.catalogue))
    })??;
    Ok(Reply::json(200, &cart))
}

/// What was bought.
#[derive(Debug)]
pub(crate) struct Order {
    user: Arc<str>,
    count: u64,
    total: u64,
    polls: u32,
}

/// `POST /api/checkout`: the cart becomes an order.
pub(crate) fn checkout(shop: &Shop, request: &Request<'_>) -> Answer {
    let order = shop.sessions.signed_in(request, |user, cart| {
        let (count, total) = (cart.count(), cart.total(&shop.catalogue));
        cart.lines.clear();
        Order { user: user.clone(), count, total, polls: 0 }
    })?;
    if order.count == 0 {
        return Err(Problem::new(409, "the cart is empty"));
    }
    shop.record.order(&order.user);
    let (id, total) = (shop.next_order(), order.total);
    shop.orders.set(&id.to_string(), order);
    let reply = Reply::json(201, &json!({"order": id, "total": total, "status": "pending"}));
    Ok(reply.with("Location", format!("/api/orders/{id}")))
}

/// `GET /api/orders/{id}`: an order of this user. It is confirmed once it has been looked at a few times.
pub(crate) fn order(shop: &Shop, request: &Request<'_>, id: &str) -> Answer {
    let user = shop.sessions.signed_in(request, |user, _| user.clone())?;
    let shown = shop.orders.with(id, |order| {
        if order.user != user {
            return None;
        }
        let status = if order.polls < PENDING_POLLS { "pending" } else { "confirmed" };
        order.polls = order.polls.saturating_add(1);
        let number = id.parse::<u64>().ok();
        Some(json!({"order": number, "status": status, "count": order.count, "total": order.total}))
    });
    let shown = shown.flatten().ok_or_else(|| Problem::new(404, "this user has no such order"))?;
    Ok(Reply::json(200, &shown))
}
