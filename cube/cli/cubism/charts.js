// Horizon charts of what `cube demo` sends: sixteen hours in columns of a minute, kept up as time goes by.

var evaluator = document.documentElement.dataset.evaluator;
var regions = ["eu-west", "us-east", "ap-south"];

// An evaluator that asks for a key: /#key=… has it, and every question of Cubism's takes it along.
var key = decodeURIComponent((/key=([^&]*)/.exec(location.hash) || ["", ""])[1]);
if (key) {
  var json = d3.json;
  d3.json = function(url, callback) { return json(url + "&api_key=" + encodeURIComponent(key), callback); };
}

var context = cubism.context()
    .step(6e4)
    .size(960)
    .serverDelay(2e3)  // an answer counts every event that was stored before it was asked
    .clientDelay(1e3);
var cube = context.cube(evaluator);

function named(expression, title) { return cube.metric(expression).alias(title); }

var requests = named("sum(request)", "all requests");
var horizons = [requests]
    .concat(regions.map(function(region) {
      return named('sum(request.eq(region, "' + region + '"))', "requests, " + region);
    }))
    .concat([
      named("median(request(duration_ms))", "median ms"),
      named("quantile(0.95, request(duration_ms))", "95 % are faster than, ms"),
      named("100 * sum(request.ge(status, 500)) / sum(request)", "% errors"),
      named('sum(request.eq(path, "/checkout"))', "checkouts"),
    ]);

var charts = d3.select("#charts");
charts.append("div").attr("class", "axis top").call(context.axis().ticks(8).orient("top"));
charts.append("div").attr("class", "rule line").call(context.rule());
charts.selectAll(".horizon").data(horizons)
  .enter().append("div").attr("class", "horizon").call(context.horizon().height(30));
charts.selectAll(".comparison").data([[requests, requests.shift(-36e5)]])
  .enter().append("div").attr("class", "comparison")
  .call(context.comparison().height(80).title("requests, against an hour before"));

// The values follow the pointer.
context.on("focus", function(column) {
  d3.selectAll(".value").style("right", column === null ? null : context.size() - column + "px");
});
