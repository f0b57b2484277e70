locals {
  # What `snap-self policy --fleet KEY=VALUE` prints, with these words in the place of the values.
  template = file("${path.module}/${var.ram_folder}/snap-self-fleet.json")
  in_place = replace(replace(local.template, "REGION", var.region), "ACCOUNT", var.account_id)
  policy   = replace(replace(local.in_place, "TAG_KEY", var.tag_key), "TAG_VALUE", var.tag_value)
}
