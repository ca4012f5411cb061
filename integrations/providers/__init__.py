"""The CRMs behind one Protocol: `base` is the contract, `errors` what can go wrong, `registry` who is there."""
