"""The demo shop: a page where anybody can order, webhooks for orders, and an API to read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as Answer

from seed_data.services.faults import refusal
from seed_data.services.shared import is_email, json_object, page_of, require_key, services
from seed_data.services.shelf import Thing, now_text

blueprint = Blueprint("shop", __name__, url_prefix="/shop")

PRODUCTS: dict[str, Thing] = {
    "TEA-EARL": {"title": "Earl Grey, 100 g", "price": "8.90", "stock": 42, "colour": "amber"},
    "TEA-MINT": {"title": "Fresh mint, 80 g", "price": "6.50", "stock": 17, "colour": "green"},
    "CUP-BLUE": {"title": "Blue cup, 0.3 l", "price": "14.00", "stock": 0, "colour": "blue"},
    "POT-IRON": {"title": "Cast-iron pot, 1 l", "price": "59.00", "stock": 5, "colour": "grey"},
}
TOPIC = "order.created"


@blueprint.get("/")
def index() -> str:
    kept = services()
    return render_template(
        "shop.html",
        products=PRODUCTS,
        orders=kept.shelf.newest("shop.order", 12),
        deliveries=kept.outbox.deliveries("shop"),
        addresses=kept.outbox.addresses("shop"),
        calls=kept.shelf.newest("shop.call", 15),
    )


@blueprint.post("/orders")
def place_order() -> Answer:
    problem = _problem(request.form)
    if problem:
        flash(problem, "bad")
        return redirect("/shop/#order")
    order = _make_order(request.form)
    told = services().outbox.post("shop", TOPIC, order)
    heard = "and Plumbline was told." if told else "but nobody is told: no webhook is set up."
    flash(f"Order {order['name']} is placed, {heard}", "good" if told else "warn")
    return redirect("/shop/")


def _problem(form: Any) -> str:
    if not is_email(form.get("email", "").strip()):
        return "Please enter an email address such as ana@example.com."
    if not form.get("name", "").strip():
        return "Please enter a name."
    if not any(sku in PRODUCTS for sku in form.getlist("sku")):
        return "Please choose at least one product."
    return ""


def _make_order(form: Any) -> Thing:
    """Kept with a customer who is counted by email address, as a shop does."""
    first, _, last = " ".join(form["name"].split())[:80].partition(" ")
    email = form["email"].strip().lower()
    chosen = [sku for sku in form.getlist("sku") if sku in PRODUCTS]
    shelf = services().shelf
    with shelf.changing():
        customer = shelf.get("shop.customer", email) or {"orders_count": 0}
        customer |= {"email": email, "first_name": first, "last_name": last}
        customer["orders_count"] += 1
        shelf.put("shop.customer", email, customer)
        number = shelf.add("shop.order", {})
        order = _order(number, customer, chosen, city=form.get("city", "").strip()[:80])
        shelf.put("shop.order", str(number), order)
    return order


def _order(number: int, customer: Thing, skus: list[str], *, city: str = "") -> Thing:
    total = sum(round(float(PRODUCTS[sku]["price"]) * 100) for sku in skus)
    return {
        "number": number,
        "id": 1000 + number,
        "name": f"#{1000 + number}",
        "created_at": now_text(),
        "currency": "EUR",
        "total_price": f"{total / 100:.2f}",
        "customer": {**customer, "default_address": {"city": city or None}},
        "line_items": [
            {"sku": sku, "title": PRODUCTS[sku]["title"], "price": PRODUCTS[sku]["price"], "quantity": 1}
            for sku in skus
        ],
    }


@blueprint.post("/deliveries/<int:number>/again")
def send_again(number: int) -> Answer:
    services().outbox.send_again("shop", number)
    flash("The same webhook is sent once more, under the same event id.", "good")
    return redirect("/shop/#webhooks")


@blueprint.post("/addresses")
def add_address() -> Answer:
    address = request.form.get("address", "").strip()
    if not address.startswith(("http://", "https://")) or len(address) > 500:
        flash("Please enter a whole address that begins with http:// or https://.", "bad")
    else:
        services().outbox.point("shop", address, TOPIC, address)
        flash("Every order is reported there from now on.", "good")
    return redirect("/shop/#webhooks")


@blueprint.post("/addresses/remove")
def remove_address() -> Answer:
    services().outbox.forget("shop", request.form.get("name", ""))
    return redirect("/shop/#webhooks")


# ------------------------------------------------------------------------------------------ API


@blueprint.before_request
def _check_key() -> Response | None:
    if not request.path.startswith("/shop/api/"):
        return None
    return require_key("shop", request.headers.get("X-Shop-Key", ""))


@blueprint.get("/api/shop")
def account() -> Response:
    return jsonify({"shop": {"name": "The demo shop", "currency": "EUR"}})


@blueprint.get("/api/orders")
def orders() -> Response:
    """Oldest first; `created_after` and `created_before` are dates or moments."""
    rows = [row for row in reversed(services().shelf.newest("shop.order")) if "name" in row]
    after, before = request.args.get("created_after", ""), request.args.get("created_before", "9999")
    part, following = page_of([row for row in rows if after <= row["created_at"] < before])
    return jsonify({"orders": part, "next_page": following})


@blueprint.get("/api/products/<sku>")
def product(sku: str) -> Response:
    found = PRODUCTS.get(sku.upper())
    if found is None:
        return refusal(404, f"There is no product {sku[:60]}.")
    return jsonify({"product": {"sku": sku.upper(), **found, "in_stock": found["stock"] > 0}})


@blueprint.put("/api/webhooks/<name>")
def put_webhook(name: str) -> Response:
    address = str(json_object().get("address", ""))
    if not address.startswith(("http://", "https://")):
        return refusal(422, "address has to be a whole address.")
    services().outbox.point("shop", name, TOPIC, address)
    return jsonify({"webhook": {"name": name, "topic": TOPIC, "address": address}})


def seed(days: int = 28) -> None:
    """A few orders of four weeks ago, so that reports and reminders have something to find."""
    shelf = services().shelf
    if shelf.newest("shop.order", 1):
        return
    past = datetime.now(UTC) - timedelta(days=days)
    people = (("Mara", "Lind", "mara@example.com"), ("Ken", "Abe", "ken@example.com"))
    for first, last, email in people:
        customer = {"email": email, "first_name": first, "last_name": last, "orders_count": 1}
        shelf.put("shop.customer", email, customer)
        number = shelf.add("shop.order", {})
        order = _order(number, customer, ["TEA-EARL", "CUP-BLUE"], city="Bremen")
        order["created_at"] = past.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shelf.put("shop.order", str(number), order)
