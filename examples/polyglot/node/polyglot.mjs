// The hello functions in Node, under names of their own so that one engine can run them beside
// those of other languages. FooNode calls the function whose name follows its own in the path:
// /function/FooNode/BarRust. Without such a name it calls BarNode.
import { serve } from "nightcore";

serve({
  FooNode: (req) =>
    req.call(req.metadata.get(":path")?.slice(1) || "BarNode", `${req.text()}, World`),
  BarNode: (req) => `From function Bar: ${req.text()}`,
});
