//! What the shop sells: the same products in every process, so that plans can expect them.

use serde::Serialize;

use super::message::{Answer, Problem, Reply, Request, encode, names_tag};

/// How many there are; their ids count from 1.
const PRODUCTS: u32 = 1000;

/// The page size without `size`, and the largest.
pub(crate) const PAGE: usize = 20;
pub(crate) const MAX_PAGE: usize = 100;

const KINDS: [&str; 10] =
    ["small", "large", "red", "green", "blue", "oak", "steel", "glass", "folding", "silent"];

/// Category and article.
const ARTICLES: [(&str, &str); 10] = [
    ("kitchen", "kettle"),
    ("kitchen", "pan"),
    ("office", "lamp"),
    ("office", "chair"),
    ("office", "desk"),
    ("garden", "spade"),
    ("garden", "bench"),
    ("travel", "bag"),
    ("travel", "tent"),
    ("music", "drum"),
];

/// An article; prices are in cents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Product {
    pub id: u32,
    pub name: String,
    pub price: u64,
    pub category: &'static str,
}

/// All products, in the order of their ids.
#[derive(Debug)]
pub(crate) struct Catalogue {
    products: Vec<Product>,
}

/// A part of the products that match.
#[derive(Debug, Serialize)]
pub(crate) struct Page<'c> {
    pub items: Vec<&'c Product>,
    pub page: usize,
    pub pages: usize,
    pub total: usize,
    /// Path and query of the next page.
    pub next: Option<String>,
}

impl Catalogue {
    pub(crate) fn new() -> Self {
        Self { products: (1..=PRODUCTS).map(product).collect() }
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Product> {
        self.products.get(usize::try_from(id.checked_sub(1)?).ok()?)
    }

    /// The products whose name or category contains `word`; all for an empty one. All names are in lower case.
    pub(crate) fn find(&self, word: &str) -> Vec<&Product> {
        let word = word.to_lowercase();
        let matches = |product: &&Product| product.name.contains(&word) || product.category.contains(&word);
        self.products.iter().filter(matches).collect()
    }

    /// The page that the query asks for by `page`, `size` and `q`; pages are at `path`.
    pub(crate) fn page(&self, request: &Request<'_>, path: &str) -> Result<Page<'_>, Problem> {
        let number = at_least_one(request, "page")?.unwrap_or(1);
        let size = at_least_one(request, "size")?.unwrap_or(PAGE);
        if size > MAX_PAGE {
            return Err(Problem::new(400, format!("size is at most {MAX_PAGE}")));
        }
        let word = request.parameter("q").unwrap_or_default();
        let found = self.find(&word);
        let (total, pages) = (found.len(), found.len().div_ceil(size));
        let skipped = (number - 1).saturating_mul(size);
        let items = found.into_iter().skip(skipped).take(size).collect();
        let next = (number < pages).then(|| {
            let word = if word.is_empty() { String::new() } else { format!("&q={}", encode(&word)) };
            format!("{path}?page={}&size={size}{word}", number + 1)
        });
        Ok(Page { items, page: number, pages, total, next })
    }

    /// `GET /api/products`
    pub(crate) fn list(&self, request: &Request<'_>) -> Answer {
        let page = self.page(request, "/api/products")?;
        let reply = Reply::json(200, &page);
        Ok(match &page.next {
            Some(next) => reply.with("Link", format!("<{next}>; rel=\"next\"")),
            None => reply,
        })
    }

    /// `GET /api/products/{id}`
    pub(crate) fn one(&self, request: &Request<'_>, id: &str) -> Answer {
        let product = id.parse().ok().and_then(|id| self.get(id)).ok_or_else(unknown)?;
        let tag = format!("p{}", product.id);
        let is_known = request.if_none_match.is_some_and(|tags| names_tag(tags, &tag));
        let reply = if is_known { Reply::empty(304) } else { Reply::json(200, product) };
        Ok(reply.with("ETag", format!("\"{tag}\"")))
    }
}

/// There is no such product.
pub(crate) fn unknown() -> Problem {
    Problem::new(404, format!("no such product; there are 1 to {PRODUCTS}"))
}

fn at_least_one(request: &Request<'_>, name: &str) -> Result<Option<usize>, Problem> {
    let Some(text) = request.parameter(name) else { return Ok(None) };
    match text.parse() {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(Problem::new(400, format!("{name} is a number from 1 on"))),
    }
}

fn product(id: u32) -> Product {
    let at = |id: u32| usize::try_from(id % 10).unwrap_or(0);
    let (category, article) = ARTICLES[at(id)];
    let name = format!("{} {article} {}", KINDS[at(id / 10)], id / 100);
    // From 5.00 to 104.99, in an order that is not that of the ids.
    let price = 500 + u64::from(id) * 7919 % 10_000;
    Product { id, name, price, category }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn products_are_different_and_always_the_same() {
        let catalogue = Catalogue::new();
        let names: BTreeSet<&str> = catalogue.products.iter().map(|product| &*product.name).collect();
        assert_eq!(names.len(), 1000);
        let first = Product { id: 1, name: "small pan 0".into(), price: 8419, category: "kitchen" };
        assert_eq!(catalogue.get(1), Some(&first));
        assert_eq!((catalogue.get(0), catalogue.get(1001)), (None, None));
        assert_eq!(catalogue.get(1000).map(|product| product.id), Some(1000));
        assert_eq!((catalogue.find("LAMP").len(), catalogue.find("office").len()), (100, 300));
    }
}
