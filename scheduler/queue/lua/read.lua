-- Read jobs.
-- KEYS     1 root
-- ARGV     ids
-- returns  for each: what was asked for (JSON), and where it stands (a JSON list, see portray); nil, nil for an unknown one
local found = {}
for i, id in ipairs(ARGV) do found[2 * i - 1], found[2 * i] = portray(id) end
return found
