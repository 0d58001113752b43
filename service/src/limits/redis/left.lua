-- What is neither spent nor set aside of a budget. ARGV: kind, account, amount (not looked at), most, span.

local now = now_us()
local claim = claim_at(1)
local state = budget.read(claim, now)
return math.max(claim.most - state.spent - state.reserved, 0)
