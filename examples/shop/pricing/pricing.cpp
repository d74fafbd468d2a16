// Calculates the price of a cart: ten pieces or more get a discount, large orders free shipping.
#include <cstdlib>
#include <nightcore.hpp>
#include <nlohmann/json.hpp>

namespace {

constexpr int shipping_cents = 490;
constexpr int pieces_for_discount = 10;
constexpr int discount_percent = 10;

nlohmann::json price(const nlohmann::json &items, int free_shipping_from) {
    int subtotal = 0;
    int pieces = 0;
    for (const auto &item : items) {
        const int quantity = item.at("quantity");
        subtotal += item.at("price").get<int>() * quantity;
        pieces += quantity;
    }
    const int discount = pieces < pieces_for_discount ? 0 : subtotal * discount_percent / 100;
    const bool ships_free = pieces == 0 || subtotal - discount >= free_shipping_from;
    const int shipping = ships_free ? 0 : shipping_cents;
    return {
        {"subtotal", subtotal},
        {"discount", discount},
        {"shipping", shipping},
        {"total", subtotal - discount + shipping},
    };
}

} // namespace

int main() {
    const char *from = std::getenv("FREE_SHIPPING_FROM");
    const int free_shipping_from = from != nullptr ? std::atoi(from) : 5000;
    nightcore::handle("Pricing", [=](nightcore::Request &req) {
        const auto cart = nlohmann::json::parse(req.body());
        return price(cart.at("items"), free_shipping_from).dump();
    });
    return nightcore::serve();
}
