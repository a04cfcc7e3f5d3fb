"""The ground floor: settings, logs, metrics, secrets and money.

Imports no other package of the product.
"""
