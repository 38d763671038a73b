"""One comparison does not identify the strength of a model, and so not the scale of attentiveness.

Users who judge half of their votes between models that differ much have the same votes as users who judge
every vote between models that differ little. So with two models and an unknown strength the *order* of users
is identified, and the scale is not. emjax says so, and what would identify it.
"""

import numpy as np

import emjax

simulation = emjax.simulate(
    2, n_users=2000, votes_per_user=30, prior=emjax.TwoPoint(low=0.1, high=0.9, weight=0.6), strength=0.74
)
prefs = simulation.preferences
users = prefs.users

# Two fits: with a known strength, say from experts, and with an unknown one that has a Beta(8, 2) prior.
known = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.Known(0.74))
unknown = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.Shared(prior=(8, 2)))


def estimates(fit: emjax.Fit) -> dict[str, float]:
    """Estimates by name; a known strength is added."""
    return {"strength": 0.74} | {entry.name: entry.estimate for entry in fit.standard_errors()}


first, second = estimates(known), estimates(unknown)
print("              known   unknown    truth")
for name, truth in (("low", 0.1), ("high", 0.9), ("weight", 0.6), ("strength", 0.74)):
    print(f"{name:10} {first[name]:8.3f} {second[name]:9.3f} {truth:8}")

print("\nWhat the votes do not identify, strength known:")
print(known.identifiability())
print("\nStrength unknown:")
print(unknown.identifiability())

# Only the product is identified, and it agrees.
products = [found["high"] * (found["strength"] - 0.5) for found in (first, second)]
print(f"\nattentiveness × (strength − ½) of the better users: {products[0]:.4f} and {products[1]:.4f}")

# So the order of users is the same, but a threshold such as ½ has another meaning.
with_known, without = (fit.posterior(prefs).mean for fit in (known, unknown))
order, other = np.argsort(with_known, kind="stable"), np.argsort(without, kind="stable")
print(f"users in the same order: {np.mean(order == other):.0%} of {len(users):,}")
print(f"users above ½: {np.mean(with_known > 0.5):.0%} and {np.mean(without > 0.5):.0%}")
