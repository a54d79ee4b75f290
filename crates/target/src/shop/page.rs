//! Pages in HTML, for plans that read links and forms.

use std::fmt::Write as _;

use super::catalogue::Catalogue;
use super::message::{Answer, Reply, Request, escape};

/// A whole page; `body` is HTML, `title` is text.
pub(crate) fn page(status: u16, title: &str, body: &str) -> Reply {
    let title = escape(title);
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    );
    Reply::html(status, text)
}

/// `GET /products`: the catalogue, with a link to the next page.
pub(crate) fn products(catalogue: &Catalogue, request: &Request<'_>) -> Answer {
    let found = catalogue.page(request, "/products")?;
    let mut body = String::from("<ul class=\"products\">\n");
    for product in &found.items {
        let (id, name, price) = (product.id, &product.name, product.price);
        let price = format!("{}.{:02}", price / 100, price % 100);
        // Writing to a string cannot fail.
        writeln!(body, "<li data-id=\"{id}\"><a href=\"/api/products/{id}\">{name}</a> {price}</li>")
            .unwrap_or_default();
    }
    body.push_str("</ul>\n");
    if let Some(next) = &found.next {
        writeln!(body, "<a class=\"next\" href=\"{}\">next</a>", escape(next)).unwrap_or_default();
    }
    Ok(page(200, "Products", &body))
}
