// Foo calls Bar, as in the other languages' hello.
import { serve } from "nightcore";

serve({
  Foo: (req) => req.call("Bar", `${req.text()}, World`),
  Bar: (req) => `From function Bar: ${req.text()}`,
});
