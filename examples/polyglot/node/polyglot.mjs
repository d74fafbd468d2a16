// The hello functions in Node, with other names, so that one engine can run all languages.
// FooNode calls the function that the path names, as in /function/FooNode/BarRust, or BarNode.
import { serve } from "nightcore";

serve({
  FooNode: (req) =>
    req.call(req.metadata.get(":path")?.slice(1) || "BarNode", `${req.text()}, World`),
  BarNode: (req) => `From function Bar: ${req.text()}`,
});
