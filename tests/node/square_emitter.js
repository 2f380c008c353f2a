// Sends events with Square's emitter: node square_emitter.js URL FILE, which holds an array of events.
var emitter = require("cube/lib/cube/emitter"),
    events = JSON.parse(require("fs").readFileSync(process.argv[3])),
    emit = emitter(process.argv[2]);

events.forEach(function(event) { emit.send(event); });
emit.close();
